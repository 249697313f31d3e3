// Package manual makes of a program's grammar what a system expects of an installed
// program beside its help: a page for man, in the languages that the program speaks, and the completion of
// its commands in bash.
//
// What always holds: every command, argument and flag that the help shows is in both, and nothing that it
// hides. A grammar gives the same bytes each time, without a date, so that they can be committed and compared.
//
// What stands in the help's sentences is not its business, nor is where the files are installed.
package manual
