package main

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

// systemPlaces lie in ProgramData, where Windows says that it is: an environment variable could say anything.
func systemPlaces() places {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, windows.KF_FLAG_DEFAULT)
	if err != nil {
		data = `C:\ProgramData`
	}
	home := filepath.Join(data, "Heimdraht")
	return places{config: filepath.Join(home, "agent.yaml"), state: filepath.Join(home, "state"), socket: pipePrefix + "heimdraht-agent"}
}
