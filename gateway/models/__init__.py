"""Models and demo data: manifests, sources, the cache and the converter. `pull` fetches, `find` and `data` look up."""

from gateway.models.beside import beside
from gateway.models.cache import cache_folder, data, find, forget, pull, pull_data
from gateway.models.draft import draft

__all__ = ["beside", "cache_folder", "data", "draft", "find", "forget", "pull", "pull_data"]
