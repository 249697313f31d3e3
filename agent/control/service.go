package control

import "runtime"

// StartService is the command by which an administrator starts a laptop's service, in the words of this system.
func StartService() string { return serviceCommand(runtime.GOOS, false) }

// RestartService is the same for one that runs.
func RestartService() string { return serviceCommand(runtime.GOOS, true) }

func serviceCommand(system string, again bool) string {
	const name = "heimdraht-agent"
	switch {
	case system == "windows" && again:
		return "Restart-Service " + name // PowerShell
	case system == "windows":
		return "Start-Service " + name
	case system == "darwin" && again:
		return "sudo launchctl kickstart -k system/" + name
	case system == "darwin":
		return "sudo launchctl kickstart system/" + name
	case again:
		return "systemctl restart " + name
	}
	return "systemctl start " + name
}
