//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postgres is a PostgreSQL server of the run's own, on a socket in its directory; zero: there is none.
type postgres struct {
	url   string
	pid   int // of the process that starts the others
	cmd   *exec.Cmd
	ended <-chan error
	dir   string
}

// ownPostgres is the value of --database that asks for one.
const ownPostgres = "postgres"

// startPostgres makes a cluster in the run's directory with its defaults, which are durable, and starts it.
func (r *runner) startPostgres(ctx context.Context) error {
	ph := r.say.phase("starting PostgreSQL", 0)
	defer ph.end()
	initdb, err := postgresProgram("initdb")
	if err != nil {
		return err
	}
	server, err := postgresProgram("postgres")
	if err != nil {
		return err
	}
	// A socket's path has 107 bytes at the most (unix(7)).
	if r.postgres.dir, err = os.MkdirTemp("", "hd-pg-"); err != nil {
		return fmt.Errorf("making a directory for PostgreSQL: %w", err)
	}
	dir := r.postgres.dir
	data := filepath.Join(dir, "data")
	prepare := exec.CommandContext(ctx, initdb, "-D", data, "-U", "heimdraht", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions")        //nolint:gosec // the distribution's program
	r.postgres.cmd = exec.CommandContext(context.WithoutCancel(ctx), server, "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "max_connections=200") //nolint:gosec // the distribution's program
	prepare.Dir, r.postgres.cmd.Dir = dir, dir
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		uid, gid, err := accountOf("postgres")
		if err != nil {
			return err
		}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return fmt.Errorf("giving PostgreSQL its directory: %w", err)
		}
		asUser(prepare, uid, gid)
		asUser(r.postgres.cmd, uid, gid)
	}
	if said, err := prepare.CombinedOutput(); err != nil {
		return fmt.Errorf("making a PostgreSQL cluster: %w\n%s", err, said)
	}
	log, err := os.Create(filepath.Join(r.dir, "postgres.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	r.postgres.cmd.Stdout, r.postgres.cmd.Stderr = log, log
	if r.postgres.ended, err = startTied(r.postgres.cmd); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	r.postgres.pid = r.postgres.cmd.Process.Pid
	r.postgres.url = "postgres://heimdraht@/postgres?" + url.Values{"host": {dir}}.Encode()
	return r.awaitSocket(ctx, filepath.Join(dir, ".s.PGSQL.5432"), log.Name())
}

// awaitSocket waits until PostgreSQL listens. The control plane waits for the rest.
func (r *runner) awaitSocket(ctx context.Context, socket, log string) error {
	ready := filepath.Join(r.postgres.dir, "data", "postmaster.pid")
	for {
		// The last line says "ready" when it takes connections (miscinit.h, LOCK_FILE_LINE_PM_STATUS).
		if content, err := os.ReadFile(ready); err == nil && strings.HasSuffix(strings.TrimSpace(string(content)), "\nready") {
			if _, err := os.Stat(socket); err == nil {
				return nil
			}
		}
		select {
		case err := <-r.postgres.ended:
			r.postgres.cmd = nil
			said, _ := os.ReadFile(log) // it is only told along
			return fmt.Errorf("PostgreSQL has ended (%w), and said:\n%s", err, said)
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the server at once, and removes what it wrote. Idempotent.
func (p *postgres) stop() error {
	var err error
	if p.cmd != nil && p.cmd.Process != nil {
		err = interrupt(p.cmd.Process, syscall.SIGINT) // "fast": connections are cut off
		if err == nil {
			select {
			case <-p.ended: //nolint:errcheck // it was asked to
			case <-time.After(stopPatience):
				err = errors.Join(errors.New("PostgreSQL did not end"), interrupt(p.cmd.Process, syscall.SIGQUIT))
			}
		}
		p.cmd = nil
	}
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

// postgresProgram finds a program of PostgreSQL, which Debian keeps out of everybody's PATH.
func postgresProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return path, nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	return "", fmt.Errorf("--database postgres needs PostgreSQL's program %s, which is not installed (Debian: apt-get install postgresql)", name)
}

func accountOf(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("PostgreSQL does not run as root, and there is no account to run it as: %w", err)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), err
}
