"""Data sets: toy distributions, digits, shapes, CIFAR-10 and latents of images."""
