"""The nouns: frozen values that cross layers. Standard library only, Python 3.10+."""
