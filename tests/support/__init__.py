"""What tests share: real servers, a programmable mail server, service processes, an organisation."""
