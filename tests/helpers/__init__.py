"""What tests share: builders of files, fakes, processes, pages."""
