"""What is known of a model as one page, for eyes first."""
