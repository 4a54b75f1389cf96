"""Faces in: found, drawn or mixed; aligned, screened and cached."""
