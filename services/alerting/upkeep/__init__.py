"""What alarms do not wait for: self-audit, forgetting, past events from files."""
