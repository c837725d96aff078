"""Pure maths on unbatched arrays; knows nobody."""
