import java.io.FileInputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Gets URLs with both of Java's clients: NAME is what they are called in the lines that say what came of it. */
class Fetch {
    interface Client {
        int get(URI uri) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        // Java reads no PEM file, and no variable that names one.
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var pem = new FileInputStream(System.getenv("SSL_CERT_FILE"))) {
            for (var cert : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                store.setCertificateEntry("ca" + store.size(), cert);
            }
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        SSLContext.setDefault(tls);

        var http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
        for (int i = 1; i < args.length; i++) {
            URI uri = URI.create(args[i]);
            report(args[0], uri, u -> http.send(HttpRequest.newBuilder(u).build(), BodyHandlers.ofByteArray()).statusCode());
            report(args[0] + "-url", uri, u -> {
                var conn = (HttpURLConnection) u.toURL().openConnection();
                conn.setConnectTimeout(5000);
                try (var body = conn.getInputStream()) {
                    body.readAllBytes();
                }
                return conn.getResponseCode();
            });
        }
    }

    static void report(String name, URI uri, Client client) {
        int code = 1;
        try {
            code = client.get(uri) == 200 ? 0 : 22;
        } catch (Exception e) {
            System.err.println(e);
        }
        System.out.println(name + "-" + uri.getScheme() + "-" + uri.getHost() + "=" + code);
    }
}
