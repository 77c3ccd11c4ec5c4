from clients.portals import serve
from clients.portals.kiosk import create_app

serve("kiosk", create_app, default_port=8003)
