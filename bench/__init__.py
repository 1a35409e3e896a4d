"""Speeds as ratios, measured on virtual boards: `./dev bench`."""
