import org.apache.pdfbox.preflight.PreflightDocument;
import org.apache.pdfbox.preflight.ValidationResult;
import org.apache.pdfbox.preflight.exception.SyntaxValidationException;
import org.apache.pdfbox.preflight.parser.PreflightParser;

/** Prints what PDFBox preflight finds against PDF/A-1b in each file. */
public class Preflight {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            ValidationResult result;
            try {
                PreflightParser parser = new PreflightParser(file);
                parser.parse();
                try (PreflightDocument document = parser.getPreflightDocument()) {
                    document.validate();
                    result = document.getResult();
                }
            } catch (SyntaxValidationException e) {
                result = e.getResult();
            }
            System.out.println(file + " " + (result.isValid() ? "valid" : "invalid"));
            for (ValidationResult.ValidationError error : result.getErrorsList()) {
                System.out.println("  " + error.getErrorCode() + " " + error.getDetails());
            }
        }
    }
}
