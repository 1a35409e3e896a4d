"""Brings boards to their first boot: what an SD card has to carry, and writing it."""
