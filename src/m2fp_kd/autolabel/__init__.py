"""Label photos with a model: a data set in M2FP's layout, for a person to correct and for training."""
