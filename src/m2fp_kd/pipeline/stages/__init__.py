"""The stages that ``stage=`` names, one file each."""
