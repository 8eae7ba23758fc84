"""Training with Lightning: module, Trainer, loggers and callbacks."""
