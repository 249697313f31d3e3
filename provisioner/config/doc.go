// Package config turns files into typed values: the configuration of a
// process (heimdrahtd.yaml, gateway.yaml, agent.yaml) and the reviewed files
// that declare directories, tenants, licence pools and gateways.
//
// What always holds here:
//   - What is not understood is refused: unknown keys, keys given twice, wrong
//     types, values out of range. A typing error never becomes a default.
//   - Every message names file and line, and all mistakes of a file are told
//     at once, as a Problems error.
//   - Nothing but the named files is read: no environment, no network, no
//     secrets. Files that hold secrets are named, and read where they are used.
//
// Not its business: whether what a file names exists on the server (tenancy
// decides that), and flags (the programs have few).
package config
