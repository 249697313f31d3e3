package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// SystemSays is what the operating system says is wrong, in German and in
// English, without the file names and calls that our layers add for logs. An
// error in which the system has no part is its own words in both.
func SystemSays(err error) (german, english string) {
	var number syscall.Errno
	var name *net.DNSError
	english = err.Error()
	var exposed interface{ Mend() string } // state.ErrNotPrivate
	switch {
	case errors.As(err, &exposed):
		return "andere Benutzer kommen an ihn heran; das ändert: " + exposed.Mend(), english
	case errors.As(err, &name) && name.IsNotFound:
		return "den Namen " + name.Name + " gibt es nicht", english
	case errors.As(err, &name):
		return "der Name " + name.Name + " ließ sich nicht nachschlagen", english
	case errors.As(err, &number):
		english = number.Error()
	}
	for _, c := range []struct {
		is     error
		german string
	}{
		{syscall.ENOTDIR, "ein Teil des Pfades ist kein Ordner"},
		{syscall.EISDIR, "das ist ein Ordner"},
		{syscall.EROFS, "der Datenträger ist schreibgeschützt"},
		{syscall.ENOSPC, "auf dem Datenträger ist kein Platz mehr"},
		{syscall.EADDRINUSE, "dort läuft schon ein anderes Programm"},
		{syscall.EADDRNOTAVAIL, "diese Adresse hat der Rechner nicht"},
		{syscall.ECONNREFUSED, "dort antwortet kein Programm"},
		{syscall.ECONNRESET, "die Gegenseite hat aufgelegt"},
		{syscall.ENETUNREACH, "dorthin führt kein Weg"},
		{syscall.EHOSTUNREACH, "dorthin führt kein Weg"},
		{syscall.ETIMEDOUT, "es kam keine Antwort"},
		{os.ErrDeadlineExceeded, "es kam keine Antwort"},
		{context.DeadlineExceeded, "es kam keine Antwort"},
		{fs.ErrNotExist, "das gibt es nicht"},
		{fs.ErrPermission, "dazu fehlen die Rechte"},
	} {
		if errors.Is(err, c.is) {
			return c.german, english
		}
	}
	return english, english
}
