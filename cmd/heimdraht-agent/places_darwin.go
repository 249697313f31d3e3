package main

// systemPlaces are macOS' own: there is no /var/lib, and nobody may make /run.
func systemPlaces() places {
	return places{config: "/etc/heimdraht/agent.yaml", state: "/var/db/heimdraht-agent", socket: "/var/run/heimdraht/agent.sock"}
}
