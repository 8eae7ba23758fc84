"""Lightning: the module, one call of the Trainer, its loggers and callbacks."""
