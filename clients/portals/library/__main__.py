from clients.portals import serve
from clients.portals.library import create_app

serve("library", create_app, default_port=8002)
