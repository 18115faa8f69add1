// Package stomp is the wire format of STOMP 1.0, 1.1 and 1.2: a decoder that
// turns bytes into frames, functions that append frames to a buffer, and the
// two negotiations of CONNECT. It has no goroutines, clock or sockets; every
// limit is counted while bytes arrive, before memory is spent on them.
//
// Where the versions differ:
//
//	                      1.0            1.1          1.2
//	escapes               none           \\ \n \c     \\ \n \c \r
//	end of line           LF or CRLF     LF           LF or CRLF
//	spaces around values  trimmed        kept         kept
//
// CONNECT and CONNECTED are never escaped. An escape that the version does not
// define makes the frame malformed, as the specification demands. Of a
// repeated header the first counts. A body reaches to content-length if the
// frame has one, else to the first NUL; a NUL ends every frame. Line ends
// between frames are heart-beats.
package stomp
