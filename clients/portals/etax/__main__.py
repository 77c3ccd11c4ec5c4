from clients.portals import serve
from clients.portals.etax import create_app

serve("etax", create_app, default_port=8001)
