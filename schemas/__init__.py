"""The contract between the services, and with everyone who reads or writes the topics."""
