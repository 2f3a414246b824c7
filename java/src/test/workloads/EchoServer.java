import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * An echo server on the JVM, a thread per connection: {@code EchoServer ADDRESS PORT}. At the end of
 * the client's direction it sends the SHA-256 of what it received.
 */
public final class EchoServer {
  private EchoServer() {}

  public static void main(String[] args) throws IOException {
    InetAddress address = InetAddress.getByName(args[0]);
    try (ServerSocket listener = new ServerSocket(Integer.parseInt(args[1]), 1024, address)) {
      while (true) {
        Socket connection = listener.accept();
        new Thread(() -> serve(connection), "echo").start();
      }
    }
  }

  private static void serve(Socket connection) {
    byte[] buffer = new byte[65536];
    try (connection) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (int n; (n = connection.getInputStream().read(buffer)) >= 0; ) {
        digest.update(buffer, 0, n);
        connection.getOutputStream().write(buffer, 0, n);
      }
      connection.getOutputStream().write(digest.digest());
    } catch (IOException gone) {
      // The client judges.
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
