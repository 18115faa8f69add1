// Package earlyterm answers bubbletea's question before it is asked: bubbletea
// v1 queries the terminal for its background colour while packages are being
// initialised, which costs any command of the binary seconds on a terminal
// that never answers. Telling lipgloss a colour first makes that unnecessary.
//
// Import it blank from main. It works because ready packages are initialised in
// the order of their import paths, so its path has to sort before
// github.com/charmbracelet/bubbletea, and it may import nothing but lipgloss.
package earlyterm

import "github.com/charmbracelet/lipgloss"

// An init function is what this package is: it must run before bubbletea's.
func init() { lipgloss.SetHasDarkBackground(true) }
