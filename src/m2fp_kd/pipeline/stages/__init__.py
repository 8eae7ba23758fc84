"""What ``stage=`` names, one file a stage, each read from top to bottom."""
