"""Turns a source (file, images, camera, stream) into JPEG frames on the bus."""
