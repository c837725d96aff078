"""Adaptation rules as functions: what `adapt` is made of."""
