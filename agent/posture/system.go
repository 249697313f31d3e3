package posture

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// System is what runs on the laptop, as far as it decides whether that is still looked after.
type System struct {
	// Name and Version such as "debian" and "12", "windows" and "19045" (the build), "macos" and "14".
	Name, Version string
	// Long is one that its maker looks after for longer: an edition of Windows for enterprises.
	Long bool
	// End is what the system itself says. Zero: nothing.
	End time.Time
}

// supported judges by a policy first, then by what the system says of itself, then by the tables. The last day counts.
func (s System) supported(policy map[string]time.Time, now time.Time) Answer {
	end, ok := policy[s.Name+" "+s.Version]
	if !ok {
		end, ok = s.End, !s.End.IsZero()
	}
	if !ok {
		end, ok = s.listed()
	}
	if !ok {
		return Unknown
	}
	return answered(now.Before(end.AddDate(0, 0, 1)))
}

// listed is when our tables end a system.
func (s System) listed() (time.Time, bool) {
	table := ends()
	if s.Long {
		maps.Copy(table, longEnds())
	}
	day, ok := table[s.Name+" "+s.Version]
	if !ok {
		return time.Time{}, false
	}
	end, err := time.Parse(time.DateOnly, day)
	return end, err == nil
}

// ends are the last days on which systems get security updates without a further contract.
//
// Debian (with its LTS) and Ubuntu: Debian's package distro-info-data 0.58+deb12u7. Windows: Microsoft's lifecycle
// policy, editions Home and Pro. Apple publishes no dates: the last three versions get updates, and a new one comes
// each September; what is still to come is reckoned from that.
func ends() map[string]string {
	return map[string]string{
		"debian 9": "2022-06-30", "debian 10": "2024-06-30", "debian 11": "2026-08-31", "debian 12": "2028-06-30", "debian 13": "2030-06-30",
		"ubuntu 18.04": "2023-05-31", "ubuntu 20.04": "2025-05-31", "ubuntu 22.04": "2027-06-01", "ubuntu 22.10": "2023-07-20",
		"ubuntu 23.04": "2024-01-25", "ubuntu 23.10": "2024-07-11", "ubuntu 24.04": "2029-05-31", "ubuntu 24.10": "2025-07-10",
		"ubuntu 25.04": "2026-01-15", "ubuntu 25.10": "2026-07-09", "ubuntu 26.04": "2031-05-29",
		"windows 19044": "2023-06-13", "windows 19045": "2025-10-14", "windows 22000": "2023-10-10", "windows 22621": "2024-10-08",
		"windows 22631": "2025-11-11", "windows 26100": "2026-10-13", "windows 26200": "2027-10-12",
		"macos 12": "2024-09-16", "macos 13": "2025-09-15", "macos 14": "2026-09-30", "macos 15": "2027-09-30", "macos 26": "2028-09-30",
	}
}

// longEnds are those of Windows' editions Enterprise and Education.
func longEnds() map[string]string {
	return map[string]string{
		"windows 19044": "2024-06-11", "windows 19045": "2025-10-14", "windows 22000": "2024-10-08", "windows 22621": "2025-10-14", "windows 22631": "2026-11-10",
		"windows 26100": "2027-10-12", "windows 26200": "2028-10-10",
	}
}

// parseOSRelease reads os-release(5).
func parseOSRelease(text string) (s System) {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		value = strings.Trim(value, `'"`)
		switch key {
		case "ID":
			s.Name = value
		case "VERSION_ID":
			s.Version = value
		case "SUPPORT_END":
			if end, err := time.Parse(time.DateOnly, value); err == nil {
				s.End = end
			}
		}
	}
	return s
}

// windowsSystem tells Windows by its build and edition, as its registry names them. Editions that are looked after for
// five or ten years (LTSC) and servers have dates of their own, which are not known here.
func windowsSystem(build, edition string) System {
	switch edition {
	case "Core", "CoreN", "CoreSingleLanguage", "CoreCountrySpecific", "Professional", "ProfessionalN", "ProfessionalWorkstation", "ProfessionalEducation":
		return System{Name: "windows", Version: build}
	case "Enterprise", "EnterpriseN", "Education", "EducationN", "IoTEnterprise", "ServerRdsh":
		return System{Name: "windows", Version: build, Long: true}
	default:
		return System{Name: "windows-" + strings.ToLower(edition), Version: build}
	}
}

// macosSystem tells macOS by what sw_vers prints.
func macosSystem(printed string) System {
	major := regexp.MustCompile(`^([0-9]+)(\.[0-9]+)*$`).FindStringSubmatch(strings.TrimSpace(printed))
	if major == nil {
		return System{}
	}
	return System{Name: "macos", Version: major[1]}
}
