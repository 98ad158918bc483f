"""Meshes to images: loading them, cameras around them, a window that needs no screen, color names.

Nothing in it is imported before it is needed: trimesh and VTK come with `loading` and `window`.
"""
