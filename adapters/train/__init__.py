"""Training: one runnable script per role over one shared loop; settings, progress and reports are the same for all."""
