"""Build teacher, student, LightningModule and fine-tuning from the configuration."""
