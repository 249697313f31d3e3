package wireguard

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/windows"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg"
)

// createTUN makes the interface, after the driver's library has been looked at. Its GUID is always the same for a name:
// Windows keeps settings and firewall profiles by it, and would otherwise gather one of each for every start.
func createTUN(o Options) (tun.Device, error) {
	if err := loadDriver(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte("heimdraht interface " + o.Name))
	id := windows.GUID{
		Data1: binary.BigEndian.Uint32(sum[:]), Data2: binary.BigEndian.Uint16(sum[4:]), Data3: binary.BigEndian.Uint16(sum[6:])&0x0fff | 0x8000,
		Data4: [8]byte(sum[8:16]),
	}
	id.Data4[0] = id.Data4[0]&0x3f | 0x80 // RFC 9562, version 8
	link, err := tun.CreateTUNWithRequestedGUID(o.Name, &id, o.MTU)
	if err != nil {
		return nil, err
	}
	awaitInterface(link)
	return link, nil
}

// awaitInterface waits until Windows has made what belongs to a new adapter: addresses and routes have no place before. If
// it never does, giving the address fails, and says so.
func awaitInterface(link tun.Device) {
	const pause, tries = 100 * time.Millisecond, 100
	native, ok := link.(*tun.NativeTun)
	for try := 0; ok && try < tries; try++ {
		if _, err := winipcfg.LUID(native.LUID()).IPInterface(windows.AF_INET); !errors.Is(err, windows.ERROR_NOT_FOUND) {
			return
		}
		<-time.After(pause)
	}
}
