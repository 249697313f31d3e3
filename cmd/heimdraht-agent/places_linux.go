package main

func systemPlaces() places {
	return places{config: "/etc/heimdraht/agent.yaml", state: "/var/lib/heimdraht-agent", socket: "/run/heimdraht/agent.sock"}
}
