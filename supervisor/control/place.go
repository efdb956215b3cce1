package control

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Files below the project's .mesh folder.
const (
	folder     = ".mesh"
	lockName   = "mesh.pid"     // locked while a mesh runs; holds its pid
	socketName = "control.sock" // the socket, or, when the path is too long for one:
	pointName  = "control.path" // where the socket is
)

// maxPath is how long a socket's path may be: sun_path is 104 bytes on the BSDs
// and 108 on Linux, one of which is for the final zero.
const maxPath = 103

// ErrRunning is what a *RunningError is, for errors.Is.
var ErrRunning = errors.New("a mesh is running already")

// RunningError says that another mesh runs in the project folder.
type RunningError struct {
	Dir string
	PID int // 0 when it could not be read
}

func (e *RunningError) Error() string {
	who := ""
	if e.PID != 0 {
		who = fmt.Sprintf(" (pid %d)", e.PID)
	}
	return fmt.Sprintf("a mesh runs in %s already%s: see it with `mesh attach`, end it with `mesh down`", e.Dir, who)
}

// Is makes errors.Is(err, ErrRunning) true.
func (e *RunningError) Is(target error) bool { return target == ErrRunning }

// place is a project folder that is taken by one mesh. The kernel gives the
// lock free however that process ends, so a lock is never stale.
type place struct {
	dir    string // .mesh
	socket string
	lock   *os.File
}

// occupy takes the project folder dir.
func occupy(dir string) (*place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the project folder: %w", err)
	}
	own := filepath.Join(dir, folder)
	if err := makeFolder(own); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(own, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the project: %w", err)
	}
	err = lockFile(lock)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = lock.Close() // it was only tried
		return nil, &RunningError{Dir: dir, PID: readPID(own)}
	}
	if err == nil {
		err = writePID(lock)
	}
	if err != nil {
		_ = lock.Close() // the first error counts
		return nil, fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	return &place{dir: own, lock: lock}, nil
}

// lockFile takes the lock if no mesh has it. Occupied holds it for a moment, so
// one refusal means nothing.
func lockFile(lock *os.File) error {
	for try := 0; ; try++ {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || try == 5 {
			return err
		}
		<-time.After(10 * time.Millisecond)
	}
}

// makeFolder makes .mesh, which only its user may enter and git ignores.
func makeFolder(own string) error {
	err := os.MkdirAll(own, 0o700)
	if err == nil {
		err = os.Chmod(own, 0o700)
	}
	if err != nil {
		return fmt.Errorf("making the folder for the mesh's own files: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(own, ".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing into the folder for the mesh's own files: %w", err)
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}

func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// readPID gives the pid in the lock file, 0 when there is none.
func readPID(own string) int {
	b, err := os.ReadFile(filepath.Join(own, lockName))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return n
}

// listen binds the socket, in .mesh when its path is short enough and the file
// system can hold one, else in a folder of the user's.
func (p *place) listen() (net.Listener, error) {
	p.clean()
	inside := filepath.Join(p.dir, socketName)
	if len(inside) <= maxPath {
		ln, err := bind(inside)
		if err == nil {
			p.socket = inside
			return ln, nil
		}
		if !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.EPERM) {
			return nil, fmt.Errorf("listening on the control socket: %w", err)
		}
	}
	outside, err := outsidePath(p.dir)
	if err != nil {
		return nil, err
	}
	_ = os.Remove(outside) // of a dead mesh: we hold the lock
	ln, err := bind(outside)
	if err != nil {
		return nil, fmt.Errorf("listening on the control socket: %w", err)
	}
	p.socket = outside
	if err := os.WriteFile(filepath.Join(p.dir, pointName), []byte(outside+"\n"), 0o600); err != nil {
		_ = ln.Close() // the first error counts
		return nil, fmt.Errorf("writing down where the control socket is: %w", err)
	}
	return ln, nil
}

// bind listens on path, a socket that only its owner may use. Before it has that
// mode, the mode of its folder keeps others out.
func bind(path string) (net.Listener, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close() // the first error counts
		return nil, err
	}
	return ln, nil
}

// outsidePath gives the socket's path in a folder that only this user can
// write to, named after the project.
func outsidePath(own string) (string, error) {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "mesh-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a folder for the control socket: %w", err)
	}
	// The temp folder is everyone's: somebody else may have made dir first.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("making a folder for the control socket: %w", err)
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(sys.Uid) != os.Getuid() {
		return "", fmt.Errorf("the folder %s for the control socket is not ours alone: remove it, or set XDG_RUNTIME_DIR to a private folder", dir)
	}
	sum := sha256.Sum256([]byte(own))
	path := filepath.Join(dir, hex.EncodeToString(sum[:8])+".sock")
	if len(path) > maxPath {
		return "", fmt.Errorf("the path %s is too long for a socket: set XDG_RUNTIME_DIR or TMPDIR to a folder with a short path", path)
	}
	return path, nil
}

// clean removes what a mesh leaves in .mesh, except for the lock file: taking
// that away would let two processes lock two files of one name.
func (p *place) clean() {
	for _, name := range []string{socketName, pointName} {
		_ = os.Remove(filepath.Join(p.dir, name)) // bind says so when it is in the way
	}
}

// leave gives the folder free.
func (p *place) leave() {
	if p.socket != "" {
		_ = os.Remove(p.socket) // the listener has removed it most of the time
	}
	p.clean()
	_ = p.lock.Truncate(0) // the pid is only for reading
	_ = p.lock.Close()     // and with it the lock
}

// Socket gives the path of the socket of the mesh that runs in a project folder.
func Socket(dir string) string { return find(dir) }

// find gives the socket of the mesh that runs in the project folder dir.
func find(dir string) string {
	own := filepath.Join(dir, folder)
	if b, err := os.ReadFile(filepath.Join(own, pointName)); err == nil {
		return strings.TrimSpace(string(b))
	}
	return filepath.Join(own, socketName)
}

// Occupied says whether a mesh runs in the project folder dir, and its pid if
// it is known. It asks the lock, not the socket, so it is also true while a
// mesh is coming or going.
func Occupied(dir string) (pid int, occupied bool) {
	own := filepath.Join(dir, folder)
	lock, err := os.Open(filepath.Join(own, lockName))
	if err != nil {
		return 0, false
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return 0, false
	}
	return readPID(own), true
}
