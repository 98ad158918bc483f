"""The HTTP API: ``create_app`` puts it together, one module per group of routes."""

from featurescape.server.api.app import create_app

__all__ = ["create_app"]
