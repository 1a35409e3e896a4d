"""What the boards are against what they should be: plan it, make it so, prove it."""
