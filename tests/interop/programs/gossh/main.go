// Go's x/crypto/ssh, server and client: "main server ..." and "main client ...",
// with the arguments that contract.py tells.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Is set by the linker: the library itself does not know.
var version = "of no known version"

// Everything that the library has; group exchange it does as a client only.
func everything(keyExchanges ...string) ssh.Config {
	config := ssh.Config{
		KeyExchanges: append(
			keyExchanges,
			"curve25519-sha256", "curve25519-sha256@libssh.org",
			"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
			"diffie-hellman-group14-sha256", "diffie-hellman-group14-sha1",
			"diffie-hellman-group1-sha1",
		),
		Ciphers: []string{
			"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com",
			"aes128-ctr", "aes192-ctr", "aes256-ctr",
			"aes128-cbc", "3des-cbc", "arcfour256", "arcfour128", "arcfour",
		},
		MACs: []string{
			"hmac-sha2-256-etm@openssh.com", "hmac-sha2-256",
			"hmac-sha1", "hmac-sha1-96",
		},
	}
	if bytes := os.Getenv("REKEY_BYTES"); bytes != "" {
		threshold, err := strconv.ParseUint(bytes, 10, 64)
		check(err)
		config.RekeyThreshold = threshold
	}
	return config
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(255)
	}
}

func publicKeys(path string) map[string]bool {
	rest, err := os.ReadFile(path)
	check(err)
	keys := map[string]bool{}
	for len(bytes.TrimSpace(rest)) > 0 {
		var key ssh.PublicKey
		key, _, _, rest, err = ssh.ParseAuthorizedKey(rest)
		if err != nil {
			// What is left is of types that it does not have.
			break
		}
		keys[string(key.Marshal())] = true
	}
	return keys
}

func server(directory, authorizedKeys, port string) {
	authorized := publicKeys(authorizedKeys)
	config := &ssh.ServerConfig{
		Config: everything(),
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if authorized[string(key.Marshal())] {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
	}
	paths, err := filepath.Glob(filepath.Join(directory, "host_*"))
	check(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		if signer, err := ssh.ParsePrivateKey(text); err == nil {
			config.AddHostKey(signer)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	check(err)
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		check(err)
		go serve(connection, config)
	}
}

func serve(connection net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		log.Print(err)
		return
	}
	go ssh.DiscardRequests(requests)
	for opened := range channels {
		if opened.ChannelType() != "session" {
			opened.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		channel, requests, err := opened.Accept()
		if err != nil {
			return
		}
		go session(channel, requests)
	}
}

func exitStatus(command string) (uint32, bool) {
	if command == "cat" {
		return 0, true
	}
	status, err := strconv.ParseUint(strings.TrimPrefix(command, "exit "), 10, 8)
	return uint32(status), err == nil
}

func session(channel ssh.Channel, requests <-chan *ssh.Request) {
	for request := range requests {
		var exec struct{ Command string }
		if request.Type != "exec" || ssh.Unmarshal(request.Payload, &exec) != nil {
			request.Reply(false, nil)
			continue
		}
		status, known := exitStatus(exec.Command)
		request.Reply(known, nil)
		if known {
			go run(channel, exec.Command, status)
		}
	}
}

func run(channel ssh.Channel, command string, status uint32) {
	output := io.Discard
	if command == "cat" {
		output = channel
	}
	io.Copy(output, channel)
	channel.CloseWrite()
	channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, status))
	channel.Close()
}

func client(port, hostKeys, userKey, user, command string) {
	known := publicKeys(hostKeys)
	text, err := os.ReadFile(userKey)
	check(err)
	signer, err := ssh.ParsePrivateKey(text)
	check(err)
	connection, err := ssh.Dial("tcp", "127.0.0.1:"+port, &ssh.ClientConfig{
		Config: everything("diffie-hellman-group-exchange-sha256", "diffie-hellman-group-exchange-sha1"),
		User:   user,
		Auth:   []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyAlgorithms: []string{
			"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
			"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa", "ssh-dss",
		},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if known[string(key.Marshal())] {
				return nil
			}
			return errors.New("the server's host key is none that is known")
		},
	})
	check(err)
	session, err := connection.NewSession()
	check(err)
	session.Stdin = os.Stdin
	session.Stdout = os.Stdout
	err = session.Run(command)
	connection.Close()
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitStatus())
	}
	check(err)
}

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[2] == "--version":
		fmt.Println("Go x/crypto/ssh", version)
	case len(os.Args) == 5 && os.Args[1] == "server":
		server(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) == 7 && os.Args[1] == "client":
		client(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	default:
		fmt.Fprintln(os.Stderr, "server DIRECTORY AUTHORIZED_KEYS PORT, or client PORT HOST_KEYS USER_KEY USER COMMAND")
		os.Exit(255)
	}
}
