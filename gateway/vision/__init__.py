"""Cameras and the detection core: capture threads, a seat of one fresh frame each, engine threads, heads.

Importing this package loads nothing heavy; its modules load PyAV, OpenCV and onnxruntime (extra `vision`).
"""
