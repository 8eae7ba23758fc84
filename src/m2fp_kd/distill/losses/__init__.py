"""The losses, one file each: the function and the term that puts it into an objective."""
