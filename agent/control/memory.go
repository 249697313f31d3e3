package control

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"sync"
)

// MemoryStore keeps values for the life of the process: for load tests with
// thousands of agents. The zero value is empty and ready; safe for concurrent
// use.
type MemoryStore struct {
	mu     sync.Mutex
	values map[string][]byte
}

// Save implements Store.
func (m *MemoryStore) Save(name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[name] = b
	return nil
}

// Load implements Store.
func (m *MemoryStore) Load(name string, value any) error {
	m.mu.Lock()
	b, ok := m.values[name]
	m.mu.Unlock()
	if !ok {
		return fmt.Errorf("reading %s: %w", name, fs.ErrNotExist)
	}
	if err := json.Unmarshal(b, value); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// Remove implements Store.
func (m *MemoryStore) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, name)
	return nil
}

// MarshalJSON gives everything that is kept, keys included, to hand the agent to
// another process.
func (m *MemoryStore) MarshalJSON() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Marshal(m.values)
}

// UnmarshalJSON takes what MarshalJSON gave.
func (m *MemoryStore) UnmarshalJSON(b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return json.Unmarshal(b, &m.values)
}
