"""What the stages put together from the configuration: teacher, student, module, fine-tuning."""
