"""What fine-tuning on annotated slides is worth, measured on slides made of labelled images."""
