"""Identity providers in the console: seen, described anew, switched, cut off. The acts are those of `upstream`."""
