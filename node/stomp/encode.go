package stomp

import "strconv"

// AppendHeader appends one header line, escaped as v demands.
func AppendHeader(dst []byte, v Version, name, value string) []byte {
	dst = appendEscaped(dst, v, name)
	dst = append(dst, ':')
	dst = appendEscaped(dst, v, value)
	return append(dst, '\n')
}

// AppendNumber appends a header line with a number. name must need no escape.
func AppendNumber(dst []byte, name string, n int64) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\n')
}

// AppendCommand begins a frame: headers follow, then AppendBody.
func AppendCommand(dst []byte, command string) []byte {
	dst = append(dst, command...)
	return append(dst, '\n')
}

// AppendBody ends the headers and the frame. The caller has appended a
// content-length header if the body may hold a NUL.
func AppendBody(dst, body []byte) []byte {
	dst = append(dst, '\n')
	dst = append(dst, body...)
	return append(dst, 0)
}

// AppendFrame appends a whole frame. It adds content-length if there is a body
// and the headers have none.
func AppendFrame(dst []byte, v Version, f *Frame) []byte {
	if f.Command == CmdConnect || f.Command == CmdConnected || f.Command == CmdStomp {
		v = V10 // never escaped
	}
	dst = AppendCommand(dst, f.Command)
	for i := range f.Headers {
		dst = AppendHeader(dst, v, f.Headers[i].Name, f.Headers[i].Value)
	}
	if _, ok := f.Lookup("content-length"); !ok && len(f.Body) > 0 {
		dst = AppendNumber(dst, "content-length", int64(len(f.Body)))
	}
	return AppendBody(dst, f.Body)
}
