"""Boards as far as the host has to do with them: what is done to one for as long as it is measured."""
