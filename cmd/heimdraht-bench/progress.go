//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress says on standard error what is being done, how far it is and how long it will take. On a terminal it
// writes one line over and over, elsewhere a line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	every    time.Duration

	mu   sync.Mutex
	open bool // a line on the terminal is not ended yet
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, every: 10 * time.Second}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal, p.every = true, 200*time.Millisecond
	}
	return p
}

// Printf says something that stays.
func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLine()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// Write lets logs go where progress goes without tearing its line.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLine()
	return p.w.Write(b)
}

// endLine is called with the lock held.
func (p *progress) endLine() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// phase is one piece of work.
type phase struct {
	progress *progress
	name     string
	total    int           // of steps; 0: not counted
	lasts    time.Duration // how long it will take; 0: not known beforehand
	began    time.Time
	stop     func()

	mu   sync.Mutex
	done int
}

// phase begins one, of total steps or of a known duration. Its owner calls end.
func (p *progress) phase(format string, total int, args ...any) *phase {
	return p.begin(&phase{name: fmt.Sprintf(format, args...), total: total})
}

func (p *progress) lasting(name string, d time.Duration) *phase {
	return p.begin(&phase{name: name, lasts: d})
}

func (p *progress) begin(ph *phase) *phase {
	ph.progress, ph.began = p, time.Now()
	quit, ended := make(chan struct{}), make(chan struct{})
	ph.stop = sync.OnceFunc(func() {
		close(quit)
		<-ended
	})
	go func() {
		defer close(ended)
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		ph.show()
		for {
			select {
			case <-tick.C:
				ph.show()
			case <-quit:
				return
			}
		}
	}()
	return ph
}

// step says that one more of the steps is done.
func (ph *phase) step() {
	ph.mu.Lock()
	defer ph.mu.Unlock()
	ph.done++
}

// end says how long it took. Idempotent.
func (ph *phase) end() {
	if ph.stop == nil {
		return
	}
	ph.stop()
	ph.stop = nil
	ph.progress.printf("%s: %s", ph.name, roughly(time.Since(ph.began)))
}

func (ph *phase) show() {
	ph.mu.Lock()
	done := ph.done
	ph.mu.Unlock()
	took := time.Since(ph.began)
	text := ph.name
	var left time.Duration
	switch {
	case ph.lasts > 0:
		left = max(ph.lasts-took, 0)
		text += fmt.Sprintf(", %s of %s", roughly(took), roughly(ph.lasts))
	case ph.total > 0:
		text += fmt.Sprintf(", %d of %d", done, ph.total)
		if done > 0 {
			text += fmt.Sprintf(", %.0f a second", float64(done)/took.Seconds())
			left = time.Duration(float64(took) / float64(done) * float64(ph.total-done))
		}
	default:
		text += ", " + roughly(took)
	}
	if left > 0 {
		text += ", about " + roughly(left) + " left"
	}
	p := ph.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.open = true
		return
	}
	fmt.Fprintf(p.w, "... %s\n", text)
}

func roughly(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
